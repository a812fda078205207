package awsxrayreceiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// segment is of an X-Ray segment, or subsegment, what the collector's receiver takes for granted (0.161). It is read with the types that are
// read there, so that both see the same.
type segment struct {
	Name        *string   `json:"name"`
	StartTime   *float64  `json:"start_time"`
	TraceID     *string   `json:"trace_id"`
	Fault       bool      `json:"fault"`
	Throttle    bool      `json:"throttle"`
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

// maxPayload is the most that a packet over UDP can hold.
const maxPayload = 65507

// prepare makes of a packet what the collector's receiver can stand and understands: it knows of a failure by its cause alone.
func prepare(packet []byte) ([]byte, error) {
	unexplained, err := check(packet)
	if err != nil || !unexplained {
		return packet, err
	}
	explained, err := explain(packet)
	if err != nil || len(explained) > maxPayload {
		return packet, err
	}
	_, err = check(explained) // its keys stand in another order, which matters where one stands twice
	return explained, err
}

// explain gives an empty cause to segments that failed without one.
func explain(packet []byte) ([]byte, error) {
	header, body, _ := bytes.Cut(packet, []byte{'\n'})
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		return nil, err
	}
	for pending := []any{root}; len(pending) > 0; {
		s, _ := pending[len(pending)-1].(map[string]any)
		pending = pending[:len(pending)-1]
		if s["cause"] == nil && (s["fault"] == true || s["throttle"] == true) {
			s["cause"] = map[string]any{}
		}
		subsegments, _ := s["subsegments"].([]any)
		pending = append(pending, subsegments...)
	}
	explained, err := json.Marshal(root)
	return slices.Concat(header, []byte{'\n'}, explained), err
}

// check says why the collector's receiver would end the process on a packet, and whether one of its segments failed without a cause. What it
// refuses by itself may pass.
func check(packet []byte) (unexplained bool, err error) {
	_, body, _ := bytes.Cut(packet, []byte{'\n'})
	var root segment
	if err := json.Unmarshal(body, &root); err != nil {
		return false, fmt.Errorf("no segment: %w", err)
	}
	for pending := []*segment{&root}; len(pending) > 0; {
		s := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		switch {
		case s.Name == nil:
			return false, errors.New("a segment has no name")
		case s.StartTime == nil:
			return false, errors.New("a segment has no start_time")
		case s.TraceID != nil && len(*s.TraceID) != traceIDLength:
			return false, fmt.Errorf("a trace_id has %d characters instead of %d", len(*s.TraceID), traceIDLength)
		}
		unexplained = unexplained || s.Cause == nil && (s.Fault || s.Throttle)
		if s.Cause != nil && s.Cause.isObject {
			for _, exception := range s.Cause.Exceptions {
				if exception.ID == nil {
					return false, errors.New("an exception has no id")
				}
			}
		}
		for n := range s.Subsegments {
			pending = append(pending, &s.Subsegments[n])
		}
	}
	return unexplained, nil
}
