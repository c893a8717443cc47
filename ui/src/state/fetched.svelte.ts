/**
 * One thing that is fetched: its data, whether it is on its way, and what went wrong. A new request replaces the one
 * before; the data of the last good one stays until then, so that a refresh never blanks the page.
 */

import { ApiError } from '../api/client';

export class Fetched<T> {
  #data = $state.raw<T | undefined>();
  #error = $state.raw<ApiError | undefined>(undefined);
  #loading = $state(false);
  #abort: AbortController | undefined;

  /** Starts with `data` from an earlier visit, if there is any. */
  constructor(data?: T) {
    this.#data = data;
  }

  get data(): T | undefined {
    return this.#data;
  }

  get error(): ApiError | undefined {
    return this.#error;
  }

  get loading(): boolean {
    return this.#loading;
  }

  /** Settles when this request has been answered, has failed or was replaced; never rejects. */
  async run(load: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#loading = true;
    try {
      const data = await load(abort.signal);
      if (abort.signal.aborted) return;
      this.#data = data;
      this.#error = undefined;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.#error = error instanceof ApiError ? error : new ApiError(0, 'Unreadable answer', String(error));
    }
    this.#loading = false;
  }

  cancel(): void {
    this.#abort?.abort();
    this.#loading = false;
  }
}
