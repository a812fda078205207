// Package shop simulates a shop of 25 services and says the truth about it. A Visit is what one user's request sets off:
// its spans with their times and failures, decided by a seed and a number alone. Encode dresses its spans with the
// attributes of the semantic conventions (v1.40) and encodes them.
//
// The package decides what happened; it imports nothing of Tracewright, so that the truth never comes from the code
// that it checks.
package shop
