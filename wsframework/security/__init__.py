"""Who is calling: what a handshake can carry to say so, as dependencies for `Depends` and `Security`."""

from .api_key import APIKeyCookie as APIKeyCookie
from .api_key import APIKeyHeader as APIKeyHeader
from .api_key import APIKeyQuery as APIKeyQuery
from .http import HTTPAuthorizationCredentials as HTTPAuthorizationCredentials
from .http import HTTPBasic as HTTPBasic
from .http import HTTPBasicCredentials as HTTPBasicCredentials
from .http import HTTPBearer as HTTPBearer
from .scheme import same_secret as same_secret
from .subprotocol import BearerSubprotocol as BearerSubprotocol
