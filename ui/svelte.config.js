// Svelte's defaults are ours; the file tells the tools that this is meant.
export default {};
