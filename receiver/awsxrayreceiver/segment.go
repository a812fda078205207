package awsxrayreceiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// segment is of an X-Ray segment, or subsegment, what the collector's receiver takes for granted (0.161). It is read with the types that are
// read there, so that both see the same.
type segment struct {
	Name        *string   `json:"name"`
	StartTime   *float64  `json:"start_time"`
	TraceID     *string   `json:"trace_id"`
	Cause       *cause    `json:"cause"`
	Subsegments []segment `json:"subsegments"`
}

// cause is an object with exceptions, or the id of one.
type cause struct {
	exceptions
	isObject bool
}

type exceptions struct {
	Exceptions []struct {
		ID *string `json:"id"`
	} `json:"exceptions"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *cause) UnmarshalJSON(data []byte) error {
	c.isObject = json.Unmarshal(data, &c.exceptions) == nil
	return nil
}

// traceIDLength is that of 1-5f84c7a1-e7d1852db8c4fd35d88bf49a.
const traceIDLength = 35

// check says why the collector's receiver would end the process on a packet. What it refuses by itself may pass.
func check(packet []byte) error {
	_, body, _ := bytes.Cut(packet, []byte{'\n'})
	var root segment
	if err := json.Unmarshal(body, &root); err != nil {
		return fmt.Errorf("no segment: %w", err)
	}
	for pending := []*segment{&root}; len(pending) > 0; {
		s := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		switch {
		case s.Name == nil:
			return errors.New("a segment has no name")
		case s.StartTime == nil:
			return errors.New("a segment has no start_time")
		case s.TraceID != nil && len(*s.TraceID) != traceIDLength:
			return fmt.Errorf("a trace_id has %d characters instead of %d", len(*s.TraceID), traceIDLength)
		}
		if s.Cause != nil && s.Cause.isObject {
			for _, exception := range s.Cause.Exceptions {
				if exception.ID == nil {
					return errors.New("an exception has no id")
				}
			}
		}
		for n := range s.Subsegments {
			pending = append(pending, &s.Subsegments[n])
		}
	}
	return nil
}
