// Package insights says what is worth a look in a window, the most urgent first: who is to blame for what became worse, what costs time all along, and
// what hides the truth from the other answers. Each kind is a pure function of its own, over rollups or over sampled traces, with a file of its own;
// Find puts them together. docs/analysis.md gives the rules, thresholds and formulas.
package insights
