package analysis

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// What makes queries repeated ones, and how sure it is that the first answer would still have been right.
const (
	repeatedQueries = 3   // the fewest
	repeatedRead    = 0.9 // the service writes nothing to the database meanwhile, as far as the trace shows
	repeatedWritten = 0.5 // it does write
)

// readWords begin the statements that read.
var readWords = []string{
	"select", "with", "show", "get", "mget", "hget", "hmget", "hgetall", "smembers", "lrange", "zrange", "exists", "find",
	"aggregate", "count", "search",
}

// repeatedQueryGroup is the queries of one service to one database with the same text and parameters.
type repeatedQueryGroup struct {
	database int // which writes matter to it
	calls    []int
}

// repeatedQueries finds reads that a service sends to one database again and again, to the letter the same, wherever in the trace.
// A statement with placeholders is the same only if its parameters are there and are the same.
func (f *finder) repeatedQueries() {
	databases, queries := make(map[string]int), make(map[string]int)
	var (
		groups []repeatedQueryGroup
		writes []bool // by database
		key    []byte
	)
	for _, i := range f.order {
		n, s := &f.tree.Nodes[i], &f.result.Spans[i]
		statement := f.statement[i]
		if n.Kind() != ptrace.SpanKindClient || statement == "" {
			continue
		}
		key = append(append(append(key[:0], s.Service...), 0), s.PeerService...)
		database, ok := databases[string(key)]
		if !ok {
			database = len(writes)
			databases[string(key)] = database
			writes = append(writes, false)
		}
		if !reads(statement) {
			writes[database] = true
			continue
		}
		key = append(append(key, 0), statement...)
		if key, ok = appendParameters(key, n.Attributes(), statement); !ok || f.failed(i) {
			continue
		}
		g, ok := queries[string(key)]
		if !ok {
			g = len(groups)
			queries[string(key)] = g
			groups = append(groups, repeatedQueryGroup{database: database})
		}
		groups[g].calls = append(groups[g].calls, i)
	}
	for _, g := range groups {
		if len(g.calls) >= repeatedQueries {
			f.addRepeated(g.calls, writes[g.database])
		}
	}
}

func (f *finder) addRepeated(calls []int, written bool) {
	slices.SortFunc(calls, f.compareStart)
	saved := int64(0)
	for at, i := range calls {
		if at > 0 {
			saved += f.waited[i]
		}
		f.takeWrapped(i)
	}
	confidence := repeatedRead
	if written {
		confidence = repeatedWritten
	}
	f.add(FindingRepeatedQuery, calls[0], calls, saved, confidence, func() string {
		return fmt.Sprintf("%s sent the same query to %s %d times, to the letter. To keep the first answer would save up to %s.",
			f.result.Spans[calls[0]].Service, f.calleeName(calls[0]), len(calls), f.share(saved))
	})
}

// takeWrapped takes a call and the internal spans that are nothing but wrappers of it.
func (f *finder) takeWrapped(call int) {
	for i := call; i >= 0 && f.callee[i] != noCall; i = f.tree.Nodes[i].Parent {
		if i != call && f.tree.Nodes[i].Kind() != ptrace.SpanKindInternal {
			return
		}
		f.taken[i] = true
	}
}

func reads(statement string) bool {
	word := strings.TrimLeft(statement, " \t\r\n({[\"")
	end := strings.IndexFunc(word, func(r rune) bool { return r|0x20 < 'a' || r|0x20 > 'z' })
	if end < 0 {
		end = len(word)
	}
	return slices.ContainsFunc(readWords, func(read string) bool { return strings.EqualFold(word[:end], read) })
}

// appendParameters appends the parameters of a statement; false if it has some that are not known, or may have been cut.
func appendParameters(key []byte, attrs pcommon.Map, statement string) ([]byte, bool) {
	if len(statement) == maxStatement {
		return key, false
	}
	if !placeholders(statement) {
		return key, true
	}
	var parameters []string
	for name, value := range attrs.All() {
		if strings.HasPrefix(name, "db.query.parameter.") {
			parameters = append(parameters, name+"\x00"+value.AsString()+"\x00")
		}
	}
	slices.Sort(parameters)
	for _, p := range parameters {
		key = append(append(key, 0), p...)
	}
	return key, len(parameters) > 0
}

// placeholders says whether a statement has "?", "%s", "$1", "@name" or ":name".
func placeholders(statement string) bool {
	for i := range len(statement) {
		next := byte(0)
		if i+1 < len(statement) {
			next = statement[i+1]
		}
		switch statement[i] {
		case '?':
			return true
		case '%':
			if next == 's' {
				return true
			}
		case '$':
			if decimal(next) {
				return true
			}
		case '@':
			if alphanumeric(next) {
				return true
			}
		case ':': // not a key such as cart:abc, nor a cast as in x::text
			if alphanumeric(next) && i > 0 && strings.IndexByte(" =(,<>", statement[i-1]) >= 0 {
				return true
			}
		}
	}
	return false
}
