const socket = new WebSocket(location.origin.replace("http", "ws") + "/visits");
socket.onmessage = (event) => {
  document.getElementById("visits").textContent = JSON.parse(event.data).visits;
};
