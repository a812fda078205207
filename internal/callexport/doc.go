// Package callexport is what exporters of calls have in common. Each writes calls, one at a time and as they are, to where they may have to wait.
package callexport
