// Package callexport is what exporters of calls have in common, and connectors at the end of their pipelines. Each takes calls one at a time and as
// they are.
package callexport
