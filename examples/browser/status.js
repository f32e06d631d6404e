// Say in words how a connection is: in sight with a countdown, and out loud when something has changed.

/**
 * Fill an element with the status of a connection. The page has one with the role "status" for what is said out loud.
 *
 * @param element an empty one with the class "status" of page.css.
 * @param retry called when somebody presses the button, which is there while there is no connection.
 * @returns a function to give to `Topics` as `status`.
 */
export function showStatus(element, retry) {
  const words = Object.assign(document.createElement("span"), { className: "words" });
  const button = Object.assign(document.createElement("button"), { className: "link", type: "button" });
  const dot = Object.assign(document.createElement("span"), { className: "dot" });
  const spoken = document.querySelector("[role=status]");
  element.append(dot, words, button);
  button.addEventListener("click", retry);

  let shown = { state: "connecting" };
  let trouble = "";
  let countdown = 0;

  function show() {
    const { state, reason, retryAt } = shown;
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1_000));
    const [plain, detail] = {
      connecting: [trouble ? `${trouble}, trying again now` : "Connecting", ""],
      connected: ["Connected", ""],
      waiting: [`${trouble}, trying again`, ` in ${seconds} s`],
      stopped: [reason ? `Disconnected: ${reason}` : "Disconnected", ""],
    }[state];
    words.textContent = plain + detail;
    if (spoken.textContent !== plain) spoken.textContent = plain; // without the countdown, which would never end
    button.textContent = state === "stopped" ? "Connect again" : "Try now";
    button.hidden = state !== "waiting" && state !== "stopped";
    element.dataset.state = document.body.dataset.connection = state;
  }

  return (status) => {
    if (status.state === "connected") trouble = "";
    else if (status.state === "waiting") trouble ||= shown.state === "connected" ? "Connection lost" : "No connection";
    shown = status;
    clearInterval(countdown);
    if (status.state === "waiting") countdown = setInterval(show, 200);
    show();
  };
}
