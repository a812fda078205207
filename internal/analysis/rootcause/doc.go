// Package rootcause names the services that are to blame for a slow or failing window, compared with a normal one. It knows both windows as
// traces reduced to calls between services (Summarize). Suspects is its answer; TraceRCA and MicroRank are the published rankings that go into
// it. docs/analysis.md gives the formulas and says where they differ from the papers.
package rootcause
