package main

import "fmt"

// measure is a figure that has a target, which is the most that it may be, or the least.
type measure struct {
	name    string
	figure  float64
	target  float64
	atLeast bool
	digits  int
	unit    string
	note    string // how it came about; may be empty
	absent  string // why there is no figure, which is a miss; empty where there is one
}

func (m measure) pass() bool {
	if m.atLeast {
		return m.absent == "" && m.figure >= m.target
	}
	return m.absent == "" && m.figure <= m.target
}

func (m measure) String() string {
	verdict := "FAIL"
	if m.pass() {
		verdict = "PASS"
	}
	figure := fmt.Sprintf("%.*f", m.digits, m.figure)
	if m.absent != "" {
		figure = "none"
	}
	bound := "at most"
	if m.atLeast {
		bound = "at least"
	}
	text := fmt.Sprintf("%s  %s: %s, target %s %.*f %s", verdict, m.name, figure, bound, m.digits, m.target, m.unit)
	for _, more := range []string{m.absent, m.note} {
		if more != "" {
			text += "\n      " + more
		}
	}
	return text
}
