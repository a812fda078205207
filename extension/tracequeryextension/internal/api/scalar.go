package api

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// scalar is a member that may be text, a number or a boolean: a string, json.Number or bool.
type scalar struct{ value any }

var scalarType = reflect.TypeFor[*scalar]()

func isScalar(token json.Token) bool {
	switch token.(type) {
	case string, json.Number, bool:
		return true
	}
	return false
}

// text is the value as pcommon.Value.AsString writes an attribute of the same value, which is what it is compared with.
func (s *scalar) text() (string, error) {
	switch value := s.value.(type) {
	case string:
		return value, nil
	case bool:
		return strconv.FormatBool(value), nil
	default:
		number := value.(json.Number)
		if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
			return strconv.FormatInt(n, 10), nil
		}
		f, err := s.number()
		if err != nil {
			return "", err
		}
		return pcommon.NewValueDouble(f).AsString(), nil
	}
}

// number is a number, or text that reads as one.
func (s *scalar) number() (float64, error) {
	var text string
	switch value := s.value.(type) {
	case string:
		text = value
	case json.Number:
		text = value.String()
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, errors.New("must be a finite number, or a string that reads as one")
	}
	return f, nil
}
