// The moment of `a_moment_has_the_same_hash_here_and_in_wasm` of src/session/tests.rs, in a page of the site: its hash. Served to the
// browser beside benches/browser/visit.mjs.
import { Visit } from "./visit.mjs";

/** `text` is tests/golden/digest.yaml. */
export async function digest(text) {
  const worker = new Worker("./worker_loader.js", { type: "module" });
  const visit = new Visit((message) => worker.postMessage(message));
  worker.onmessage = (event) => visit.take(event.data);
  await visit.next((kind) => kind === "Ready", 1);
  const epoch = 1767225600000000;
  const past = (us) => visit.next((kind, body) => kind === "Clock" && body.head_us >= epoch + us, 1);
  visit.post({ Start: { protocol: 1, config: { Named: "demo" }, seed: 1, epoch_us: epoch, resume: null } });
  visit.post({ Pace: "SkipBoot" });
  visit.post({ Pace: { Speed: "Max" } });
  await past(45_000_000);
  visit.post({ Seek: { at_us: epoch + 40_000_000 } });
  visit.post({ Apply: { id: 1, name: "web.yaml", text, dry_run: false } });
  // The fork's head is younger: wait until it has been seen there, then until it is old enough.
  await visit.next((kind, body) => kind === "Clock" && body.branch === 1, 1);
  await past(101_000_000);
  visit.post({ Seek: { at_us: epoch + 100_000_000 } });
  const saved = visit.next((kind) => kind === "Saved", 1);
  visit.post("Save");
  const { digest } = await saved;
  worker.terminate();
  return digest;
}
