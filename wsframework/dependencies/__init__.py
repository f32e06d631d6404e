"""Dependencies: `Depends` and what else may stand in the signature of an endpoint.

A plan is made once, when a class is defined or a route is made: it names, for every parameter, where its value is from,
and refuses what cannot work. For each connection a `Resolver` follows the plan. For each message nothing is left to do,
unless something in the plan is message-scoped.

Why our own resolver and not fast-depends: that passes keyword arguments from each function to its dependencies, so that
two parameters of one name collide, and it has one cache and one stack for all, where each scope needs its own. Its
errors show the values, and it runs what it calls through anyio.
"""

from .markers import Cookie as Cookie
from .markers import Depends as Depends
from .markers import Header as Header
from .markers import Path as Path
from .markers import Query as Query
from .markers import Scope as Scope
from .markers import Security as Security
from .markers import SecurityScopes as SecurityScopes
from .plan import Call as Call
from .plan import plan_function_endpoint as plan_function_endpoint
from .plan import plan_hook as plan_hook
from .provided import HUB as HUB
from .provided import Application as Application
from .resolution import Resolver as Resolver
