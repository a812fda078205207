package clickhousestore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// parameters are the values of a statement. They travel beside its text and never in it.
type parameters clickhouse.Parameters

// bind adds a value, once, and answers what stands for it in the text. Over HTTP a server takes at most 1,000 values (http_max_fields).
func (p parameters) bind(typ, value string) string {
	for name, bound := range p {
		if bound == value {
			return "{" + name + ":" + typ + "}"
		}
	}
	name := "p" + strconv.Itoa(len(p))
	p[name] = value
	return "{" + name + ":" + typ + "}"
}

// Over HTTP a server takes values of 128 KiB (http_max_field_value_size), and addresses of a mebibyte with all of them (http_max_uri_size). So what is
// long goes as digits, half as long, which the statement has to decode.
const (
	maxEscapedText = 4 << 10
	maxEscapedIDs  = 1000
	// idsInText is how many ids stand in one value.
	idsInText = 2000
)

// text binds a text of any bytes.
func (p parameters) text(value string) string {
	if len(value) > maxEscapedText {
		return "unhex(" + p.bind("String", hex.EncodeToString([]byte(value))) + ")"
	}
	return p.bind("String", string(escaped(nil, value)))
}

func (p parameters) int(value int64) string { return p.bind("Int64", strconv.FormatInt(value, 10)) }

func (p parameters) float(value float64) string {
	return p.bind("Float64", strconv.FormatFloat(value, 'g', -1, 64))
}

// moment binds a time, Unix nanoseconds.
func (p parameters) moment(nanoseconds int64) string {
	return "fromUnixTimestamp64Nano(" + p.int(nanoseconds) + ", 'UTC')"
}

func (p parameters) id(id pcommon.TraceID) string {
	return p.bind("FixedString(16)", string(escaped(nil, id[:])))
}

// ids binds a set of ids. A set that is there as a value is planned faster than one that a subquery makes.
func (p parameters) ids(ids []pcommon.TraceID) string {
	if len(ids) > maxEscapedIDs {
		return "(" + p.selectIDs(ids) + ")"
	}
	return p.arrayOf(ids)
}

// selectIDs is a query whose rows are ids.
func (p parameters) selectIDs(ids []pcommon.TraceID) string {
	if len(ids) <= maxEscapedIDs {
		return "SELECT arrayJoin(" + p.arrayOf(ids) + ")"
	}
	var lists []string
	for some := range slices.Chunk(ids, idsInText) {
		var digits strings.Builder
		for _, id := range some {
			digits.WriteString(hex.EncodeToString(id[:]))
		}
		lists = append(lists, "arrayMap(i -> toFixedString(unhex(substring("+p.bind("String", digits.String())+", 32 * i + 1, 32)), 16), range("+
			strconv.Itoa(len(some))+"))")
	}
	return "SELECT arrayJoin(arrayConcat(" + strings.Join(lists, ", ") + "))"
}

func (p parameters) arrayOf(ids []pcommon.TraceID) string {
	list := make([]byte, 0, len("[]")+len(ids)*(len("'',")+len(`\x00`)*len(pcommon.TraceID{})))
	list = append(list, '[')
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, '\'')
		list = escaped(list, id[:])
		list = append(list, '\'')
	}
	return p.bind("Array(FixedString(16))", string(append(list, ']')))
}

// escaped appends bytes so that a parameter holds them, whatever they are.
func escaped[B []byte | string](list []byte, value B) []byte {
	const digits = "0123456789abcdef"
	for i := range len(value) {
		list = append(list, '\\', 'x', digits[value[i]>>4], digits[value[i]&15])
	}
	return list
}

// timesInText is how many times stand in one value.
const timesInText = 5000

// seconds binds a set of times, to the second. It is no subquery, which replicated tables refuse in a deletion.
func (p parameters) seconds(list []time.Time) string {
	return p.times("Array(DateTime('UTC'))", list, time.Time.Unix)
}

// moments binds a set of times, without a subquery too.
func (p parameters) moments(list []time.Time) string {
	return p.times("Array(DateTime64(9, 'UTC'))", list, time.Time.UnixNano)
}

func (p parameters) times(typ string, list []time.Time, number func(time.Time) int64) string {
	if len(list) <= timesInText {
		return p.bind(typ, listed(list, number))
	}
	var lists []string
	for some := range slices.Chunk(list, timesInText) {
		lists = append(lists, p.bind(typ, listed(some, number)))
	}
	return "arrayConcat(" + strings.Join(lists, ", ") + ")"
}

func listed(list []time.Time, number func(time.Time) int64) string {
	var text strings.Builder
	text.WriteByte('[')
	for i, at := range list {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.FormatInt(number(at), 10))
	}
	text.WriteByte(']')
	return text.String()
}

// quarterOf is the quarter of an hour by which rows stand.
func quarterOf(moment time.Time) time.Time { return moment.UTC().Truncate(15 * time.Minute) }

// oneThread ends a statement that reads so little that threads would only wait for one another.
const oneThread = " SETTINGS max_threads = 1"

// query asks the server, within the limits and until the context ends.
func (s *Store) query(ctx context.Context, text string, values parameters) (driver.Rows, error) {
	rows, err := s.db.Query(s.limited(ctx, values), text)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return rows, nil
}

func (s *Store) limited(ctx context.Context, values parameters) context.Context {
	limits := &s.options.Limits
	longest := limits.MaxTime
	if deadline, ok := ctx.Deadline(); ok {
		longest = min(longest, max(time.Until(deadline), time.Millisecond))
	}
	return clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters(values)), clickhouse.WithSettings(clickhouse.Settings{
		"max_rows_to_read":      strconv.FormatUint(limits.MaxRows, 10),
		"max_memory_usage":      strconv.FormatUint(limits.MaxMemory, 10),
		"max_execution_time":    strconv.FormatFloat(longest.Seconds(), 'f', 3, 64),
		"precise_float_parsing": 1,
	}))
}

// failed says what an error of a query is: the end of the context, or of the store, where that is the reason, or that its schema has not been there yet,
// or that the server is away, or has lost its tables.
func (s *Store) failed(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, tracestore.ErrClosed):
		return err
	case s.ctx.Err() != nil:
		return errors.Join(tracestore.ErrClosed, err)
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	select {
	case <-s.ready:
	default:
		return errors.Join(tracestore.ErrClosed, err)
	}
	if ctx.Err() == nil && (isAway(err) || IsLost(err)) {
		return fmt.Errorf("%w: %w", tracestore.ErrUnavailable, err)
	}
	return err
}

// isAway says whether the server cannot be reached, or was lost. One that did not answer in the time for a query is slow.
func isAway(err error) bool {
	var connection *net.OpError
	lost := errors.As(err, &connection)
	if lost && connection.Op == "dial" {
		return true
	}
	var exchange *url.Error // of HTTP, some of whose errors have no other type
	lost = lost || errors.As(err, &exchange)
	var late net.Error
	if lost && errors.As(err, &late) && late.Timeout() {
		return false
	}
	return lost || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, clickhouse.ErrAcquireConnTimeout)
}

// Codes of the server's errors.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
	codeTooManyRows     = 158
	codeTimeout         = 159
	codeTooSlow         = 160
	codeSetTooLarge     = 191
	codeRunning         = 216
	codeMemoryLimit     = 241
	codeCannotRegexp    = 427
)

// hasCode says whether the server answered with one of the codes.
func hasCode(err error, codes ...int32) bool {
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) {
		return false
	}
	for _, code := range codes {
		if exception.Code == code {
			return true
		}
	}
	return false
}
