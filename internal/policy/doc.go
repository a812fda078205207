// Package policy holds the rules of the house about the tree as a whole, as tests: who may import whom, that every package
// has a comment, that the builder's manifest and the component folders agree, and that the configurations keep what the
// stages promise one another. It holds no code.
package policy
