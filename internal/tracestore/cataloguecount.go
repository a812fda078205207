package tracestore

import (
	"cmp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// KeyCount counts keys for AttributeKeys, as storages come by them.
type KeyCount struct {
	query *CatalogueQuery
	most  int
	known map[scopedKey]*AttributeKey
}

type scopedKey struct {
	scope AttributeScope
	key   string
}

// NewKeyCount tells apart so many keys at most; those met later are left out.
func NewKeyCount(query *CatalogueQuery, most int) *KeyCount {
	return &KeyCount{query: query, most: most, known: make(map[scopedKey]*AttributeKey)}
}

// Add counts an attribute of so many spans. It keeps nothing of what it is given.
func (c *KeyCount) Add(scope AttributeScope, key string, value pcommon.Value, spans int) {
	if !strings.HasPrefix(key, c.query.Prefix) {
		return
	}
	at := c.known[scopedKey{scope, key}]
	if at == nil {
		if len(c.known) >= c.most {
			return
		}
		at = &AttributeKey{Scope: scope, Key: strings.Clone(key)}
		c.known[scopedKey{scope, at.Key}] = at
	}
	at.Types |= TypeOf(value.Type())
	at.Spans += int64(spans)
}

// List is the answer.
func (c *KeyCount) List() []AttributeKey {
	list := make([]AttributeKey, 0, len(c.known))
	for _, at := range c.known {
		list = append(list, *at)
	}
	slices.SortFunc(list, func(a, b AttributeKey) int {
		return cmp.Or(cmp.Compare(b.Spans, a.Spans), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Scope, b.Scope))
	})
	return list[:min(len(list), c.query.Limit)]
}

// ValueCount counts the values of a key for AttributeValues, as storages come by them.
type ValueCount struct {
	query *CatalogueQuery
	scope AttributeScope
	key   string
	most  int
	known map[string]int64
}

// NewValueCount tells apart so many values of the key at most; those met later are left out.
func NewValueCount(scope AttributeScope, key string, query *CatalogueQuery, most int) *ValueCount {
	return &ValueCount{query: query, scope: scope, key: key, most: most, known: make(map[string]int64)}
}

// Add counts an attribute of so many spans, if it is of the key. It keeps nothing of what it is given.
func (c *ValueCount) Add(scope AttributeScope, key string, value pcommon.Value, spans int) {
	if key != c.key || c.scope != ScopeAny && c.scope != scope {
		return
	}
	text, ok := CataloguedText(value)
	if !ok || !strings.HasPrefix(text, c.query.Prefix) {
		return
	}
	if _, listed := c.known[text]; listed || len(c.known) < c.most {
		c.known[strings.Clone(text)] += int64(spans)
	}
}

// List is the answer.
func (c *ValueCount) List() []AttributeValue {
	list := make([]AttributeValue, 0, len(c.known))
	for text, spans := range c.known {
		list = append(list, AttributeValue{Text: text, Spans: spans})
	}
	slices.SortFunc(list, func(a, b AttributeValue) int {
		return cmp.Or(cmp.Compare(b.Spans, a.Spans), cmp.Compare(a.Text, b.Text))
	})
	return list[:min(len(list), c.query.Limit)]
}
