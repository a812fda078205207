package main

import "fmt"

// measure is a figure that has a target, which is the most that it may be.
type measure struct {
	name   string
	figure float64
	target float64
	digits int
	unit   string
	note   string // how it came about; may be empty
	absent string // why there is no figure, which is a miss; empty where there is one
}

func (m measure) pass() bool { return m.absent == "" && m.figure <= m.target }

func (m measure) String() string {
	verdict := "FAIL"
	if m.pass() {
		verdict = "PASS"
	}
	figure := fmt.Sprintf("%.*f", m.digits, m.figure)
	if m.absent != "" {
		figure = "none"
	}
	text := fmt.Sprintf("%s  %s: %s, target at most %.*f %s", verdict, m.name, figure, m.digits, m.target, m.unit)
	for _, more := range []string{m.absent, m.note} {
		if more != "" {
			text += "\n      " + more
		}
	}
	return text
}
