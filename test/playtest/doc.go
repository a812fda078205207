// Package playtest plays the generator's traffic through assembly, analysis and a store, in virtual time, and asks the API about it.
package playtest
