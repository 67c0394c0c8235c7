/** A problem document (RFC 9457), such as the site sends for a call that it refuses. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  errors?: { loc: (string | number)[]; msg: string }[];
  [member: string]: unknown;
}

/** What a call is rejected with. An aborted call is rejected with the reason of its signal. */
export class CallError extends Error {
  constructor(problem: Problem, options?: ErrorOptions);
  readonly problem: Problem;
  /** The status of the answer; 0 if none came. */
  readonly status: number;
}

export type Values = Record<string, unknown>;

export interface CallOptions<Item = unknown> {
  /** Ends the call. */
  signal?: AbortSignal;
  /** Is told how much of an upload has been sent. */
  onprogress?: (progress: { loaded: number; total: number }) => void;
  /** Gets each value that a generator function yields. */
  onitem?: (item: Item) => unknown;
}

export function call<Result = unknown, Item = unknown>(
  name: string,
  args?: Values | unknown[] | FormData | HTMLFormElement,
  options?: CallOptions<Item>,
): Promise<Result>;

export function configure(options: { endpoint: string }): void;
export function register(name: string, action: (...args: any[]) => unknown): void;
export function getFormValues(form: string | HTMLFormElement | FormData, submitter?: HTMLElement | null): Values;
