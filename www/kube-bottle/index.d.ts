/** Where a cluster's own time stands, e.g. `2026-01-01T00:01:02.123456Z`. */
export type VirtualTime = string;
export type Lens = "architecture" | "components" | "control-plane" | "service-network" | "pod-creation";

export interface Applied {
  /** kubectl's lines, one a document: `deployment.apps/web created`. */
  lines: string[];
}
export interface Executed {
  code: number;
  stdout: string;
  stderr: string;
}
export interface Snapshot {
  /** For the attribute `moment`, or behind `#m=` of the page's address. */
  moment: string;
  at: VirtualTime;
  /** A hash of the moment: two bottles with the same one are the same. */
  digest: string;
}

export interface KubeBottleEvents {
  /** The frame listens; its files are there. */
  listening: CustomEvent<{ version: 1 }>;
  /** The cluster is up, or the moment has been opened. */
  ready: CustomEvent<{ release: string; version: 1 }>;
  /** etcd has a new revision. At most one a frame. */
  change: CustomEvent<{ revision: number; at: VirtualTime }>;
  /** A step of a lab has been passed. */
  checkPassed: CustomEvent<{ lab: string; step: number; title: string }>;
  /** What a learner does in a lab. `step` counts from 1; `durationMs` is of wall time, in this step. */
  lab: CustomEvent<{
    event: "stepStarted" | "stepPassed" | "hintUsed" | "stepSolved" | "stepReset";
    lab: string;
    step: number;
    title: string;
    durationMs: number;
    hints: number;
    solved: boolean;
    finished: boolean;
  }>;
  /** Manifests that are not there, or were refused; what went wrong in the frame. */
  error: CustomEvent<{ text: string }>;
  resize: CustomEvent<{ width: number; height: number }>;
}

/**
 * `<kube-bottle>`. Every method starts the bottle if it isn't there yet, and waits for the cluster where it has to. What a method
 * promises is rejected with an `Error` that says why it didn't work.
 */
export class KubeBottle extends HTMLElement {
  /** The event `ready` has been. */
  readonly isReady: boolean;
  /** Loads the bottle now, seen or not. */
  start(): void;
  /** `kubectl apply -f -` */
  apply(manifests: string): Promise<Applied>;
  /** A line in the shell of the cluster's user. */
  exec(line: string): Promise<Executed>;
  /** Shows the cluster as it was: a time, seconds since its beginning, or `"head"`. */
  seek(to: VirtualTime | number | "head"): Promise<object>;
  /** One message, then time stands. */
  step(): Promise<object>;
  play(): Promise<object>;
  pause(): Promise<object>;
  /** Virtual seconds a second. */
  speed(times: number | "auto" | "max"): Promise<object>;
  snapshot(): Promise<Snapshot>;
  lens(lens: Lens): Promise<object>;
  /** Opens a thing beside the picture: `pods/default/web`, `component:kube-scheduler`, `""` for nothing. */
  inspect(thing: string): Promise<object>;
  theme(theme: "light" | "dark" | "system"): Promise<object>;

  addEventListener<K extends keyof KubeBottleEvents>(
    type: K,
    listener: (this: KubeBottle, event: KubeBottleEvents[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "kube-bottle": KubeBottle;
  }
}
