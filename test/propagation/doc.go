// Package propagation plays the generator's shop with broken trace contexts, missing spans and late ones through assembly, analysis and
// a store, and compares what the API says of its edges with the truth.
package propagation
