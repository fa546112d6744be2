// The buttons of the page with five embeds: each runs a line in the shell of a bottle.
for (const button of document.querySelectorAll("button[data-exec]")) {
  button.addEventListener("click", async () => {
    const bottle = document.getElementById(button.dataset.for);
    const output = button.parentElement.querySelector("output");
    try {
      const { stdout, stderr } = await bottle.exec(button.dataset.exec);
      output.textContent = (stdout + stderr).trim();
    } catch (error) {
      output.textContent = error.message;
    }
  });
}
