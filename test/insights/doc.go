// Package insights plays the generator's shop, first as it should be and then with a known fault, through assembly, analysis and a store, and holds what
// GET /traces/insights and its like say of the second part against what is known.
package insights
