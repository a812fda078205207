package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeStrict reads data, one JSON object, into target, a pointer to a struct. It takes what encoding/json would let
// pass as a fault of the member's path: unknown and repeated members, names in another case, null, a fraction for an
// integer, and anything behind the object. The first maxFaults faults are reported; a syntax error ends the reading.
//
// Members are pointers or slices, so that what was not given is nil. A member of type any takes a string, a number or a
// boolean: a string, json.Number or bool.
func decodeStrict(data []byte, target any) []fault {
	if !utf8.Valid(data) {
		return []fault{{Detail: "the body is not UTF-8"}}
	}
	d := &strictDecoder{json: json.NewDecoder(bytes.NewReader(data))}
	d.json.UseNumber()
	err := d.value("", reflect.ValueOf(target).Elem())
	if errors.Is(err, errEnough) {
		return d.faults
	}
	if err == nil {
		if _, err = d.json.Token(); errors.Is(err, io.EOF) {
			return d.faults
		}
		return append(d.faults, fault{Detail: "something stands behind the JSON object"})
	}
	return append(d.faults, fault{Detail: syntaxDetail(err, d.json.InputOffset())})
}

func syntaxDetail(err error, offset int64) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the body is not JSON: it ends too early"
	}
	return fmt.Sprintf("the body is not JSON: %s, near byte %d", strings.TrimPrefix(err.Error(), "json: "), offset)
}

type strictDecoder struct {
	json   *json.Decoder
	faults []fault
	depth  int
}

// maxNesting bounds how deep a body is read: a type may hold itself.
const maxNesting = 64

const (
	// maxFaults is after how many faults reading ends, so that the answer to a body of garbage is small, and soon made.
	maxFaults = 20
	// maxElements is how many elements of a list are read. What a list may really have is less.
	maxElements = 10_000
)

// errEnough ends the reading of a body of which enough is known.
var errEnough = errors.New("enough faults")

// fault notes what is wrong. The error is nil, or errEnough.
func (d *strictDecoder) fault(path, detail string) error {
	d.faults = append(d.faults, fault{path, detail})
	if len(d.faults) >= maxFaults {
		return errEnough
	}
	return nil
}

// value reads the next value into v, no deeper than maxNesting. The error is one of syntax, or errEnough.
func (d *strictDecoder) value(path string, v reflect.Value) error {
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	d.depth++
	defer func() { d.depth-- }()
	if _, opens := token.(json.Delim); opens && d.depth > maxNesting {
		if err := d.fault(path, fmt.Sprintf("is nested more than %d deep", maxNesting)); err != nil {
			return err
		}
		return d.skip(token)
	}
	switch {
	case v.Kind() == reflect.Struct && token == json.Delim('{'):
		return d.object(path, v)
	case v.Kind() == reflect.Slice && token == json.Delim('['):
		return d.array(path, v)
	}
	if err := setScalar(v, token); err != nil {
		if err := d.fault(path, err.Error()); err != nil {
			return err
		}
		return d.skip(token)
	}
	return nil
}

func (d *strictDecoder) object(path string, v reflect.Value) error {
	seen := make(map[string]bool)
	for d.json.More() {
		token, err := d.json.Token()
		if err != nil {
			return err
		}
		name := token.(string) // the decoder refuses other keys
		at := member(path, name)
		field, known := fieldNamed(v, name)
		switch {
		case !known:
			err = d.skipWith(at, "unknown field; known: "+strings.Join(fieldNames(v.Type()), ", "))
		case seen[name]:
			err = d.skipWith(at, "stands more than once")
		default:
			err = d.value(at, field)
		}
		if err != nil {
			return err
		}
		seen[name] = true
	}
	_, err := d.json.Token() // the closing brace
	return err
}

func (d *strictDecoder) array(path string, v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0)) // an empty array was given too
	for i := 0; d.json.More(); i++ {
		if i == maxElements {
			_ = d.fault(path, fmt.Sprintf("has more than %d elements", maxElements))
			return errEnough
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if err := d.value(fmt.Sprintf("%s[%d]", path, i), v.Index(i)); err != nil {
			return err
		}
	}
	_, err := d.json.Token() // the closing bracket
	return err
}

// skipWith notes a fault of the next value and passes it over.
func (d *strictDecoder) skipWith(path, detail string) error {
	if err := d.fault(path, detail); err != nil {
		return err
	}
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	return d.skip(token)
}

// skip reads to the end of the value that token begins.
func (d *strictDecoder) skip(token json.Token) error {
	for depth := 0; ; {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		var err error
		if token, err = d.json.Token(); err != nil {
			return err
		}
	}
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tagName(v.Type().Field(i), "json") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = tagName(t.Field(i), "json")
	}
	return names
}

// tagName is the name that a field's tag gives, without its options.
func tagName(field reflect.StructField, tag string) string {
	name, _, _ := strings.Cut(field.Tag.Get(tag), ",")
	return name
}

func setScalar(v reflect.Value, token json.Token) error {
	text, isText := token.(string)
	number, isNumber := token.(json.Number)
	truth, isBool := token.(bool)
	switch {
	case v.Kind() == reflect.Interface && (isText || isNumber || isBool):
		v.Set(reflect.ValueOf(token))
	case v.Kind() == reflect.String && isText:
		v.SetString(text)
	case v.Kind() == reflect.Bool && isBool:
		v.SetBool(truth)
	case v.Kind() == reflect.Int && isNumber:
		n, err := parseInteger(number)
		if err != nil {
			return err
		}
		v.SetInt(n)
	case v.Kind() == reflect.Float64 && isNumber:
		if !json.Valid([]byte(number)) { // of a URL, where nobody has looked
			return errors.New("must be a number")
		}
		f, err := scalarNumber(number)
		if err != nil {
			return errors.New("must be a number")
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("must be %s, not %s", wanted(v), found(token))
	}
	return nil
}

// parseInteger takes 20 and 20.0 and 2e1, which are one number in JSON.
func parseInteger(number json.Number) (int64, error) {
	if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
		return n, nil
	}
	f, err := number.Float64()
	if n := int64(f); err == nil && f > -1e15 && f < 1e15 && float64(n) == f {
		return n, nil
	}
	return 0, errors.New("must be an integer")
}

func wanted(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Interface:
		return "a string, a number or a boolean"
	case v.Kind() == reflect.String:
		return "a string"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.Kind() == reflect.Int:
		return "an integer"
	case v.Kind() == reflect.Float64:
		return "a number"
	case v.Kind() == reflect.Slice:
		return "an array"
	default:
		return "an object"
	}
}

func found(token json.Token) string {
	switch token {
	case nil:
		return "null; leave it out instead"
	case json.Delim('{'):
		return "an object"
	case json.Delim('['):
		return "an array"
	}
	switch token.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	default:
		return "a number"
	}
}
