/**
 * The query part of a URL: names and values, read once each and written in a readable way.
 *
 * Owns the spelling; what a parameter means is said by the route it belongs to (`url.ts`, `report-url.ts`).
 */

export type Parameter = [name: string, value: string];

/** Query parameters, each of which is taken once; what nobody took is the rest. */
export class Parameters {
  readonly #all: Parameter[];
  readonly #taken = new Set<string>();

  constructor(query: string) {
    this.#all = [...new URLSearchParams(query)] as Parameter[];
  }

  /** The last value of `name`, empty if there is none. */
  take(name: string): string {
    this.#taken.add(name);
    return this.#all.findLast(([key]) => key === name)?.[1] ?? '';
  }

  rest(): Parameter[] {
    return this.#all.filter(([key]) => !this.#taken.has(key));
  }
}

/** `?a=1&b=2`; empty values of known parameters are defaults and left out. Keeps `:`, `,` and `/` readable. */
export function query(parameters: Parameter[]): string {
  const words = parameters
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${encode(name)}=${encode(value)}`);
  return words.length === 0 ? '' : `?${words.join('&')}`;
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/%(3A|2C|2F|40)/g, (code) => decodeURIComponent(code)).replace(/%20/g, '+');
}
