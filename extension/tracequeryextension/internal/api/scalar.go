package api

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// A scalar is a member that may be text, a number or a boolean, as the strict decoder reads it: a string, json.Number or bool.

// scalarText is the scalar as pcommon.Value.AsString writes an attribute of the same value, which is what it is compared with.
func scalarText(scalar any) (string, error) {
	switch value := scalar.(type) {
	case string:
		return value, nil
	case bool:
		return strconv.FormatBool(value), nil
	default:
		number := value.(json.Number)
		if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
			return strconv.FormatInt(n, 10), nil
		}
		f, err := scalarNumber(number)
		if err != nil {
			return "", err
		}
		return pcommon.NewValueDouble(f).AsString(), nil
	}
}

// scalarNumber is a number, or text that reads as one.
func scalarNumber(scalar any) (float64, error) {
	var text string
	switch value := scalar.(type) {
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
