/**
 * Which colour a service has: its rank by self time within the trace, the same for every viewer. Six are told apart
 * under every common colour blindness; beyond six a service is grey, and its name is always written on the row.
 */

/** Colours that `styles/tokens.css` defines as `--service-0` and so on. */
const SERVICE_COLOURS = 6;

/** The custom property of a service's colour by rank; grey for a placeholder (-1) and from the seventh on. */
export function serviceColour(rank: number): string {
  return rank >= 0 && rank < SERVICE_COLOURS ? `--service-${rank}` : '--service-other';
}
