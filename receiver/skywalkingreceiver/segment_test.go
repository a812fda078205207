package skywalkingreceiver

import (
	"testing"

	"github.com/stretchr/testify/require"
	common "skywalking.apache.org/repo/goapi/collect/common/v3"
	agent "skywalking.apache.org/repo/goapi/collect/language/agent/v3"
)

func tags(pairs ...string) (list []*common.KeyStringValuePair) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &common.KeyStringValuePair{Key: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestTranslate(t *testing.T) {
	span := func(id int32, kind agent.SpanType, peer string, pairs ...string) *agent.SpanObject {
		return &agent.SpanObject{SpanId: id, ParentSpanId: id - 1, SpanType: kind, Peer: peer, Tags: tags(pairs...)}
	}
	s := segment(sound)
	s.Spans = []*agent.SpanObject{
		span(0, agent.SpanType_Entry, "10.0.0.1:55555", "url", "http://shop/checkout", "status_code", "502", "app", "x"),
		span(1, agent.SpanType_Exit, "mysql:3306", "db.type", "Mysql", "db.instance", "orders", "db.statement", "SELECT 1"),
		span(2, agent.SpanType_Exit, "a:9092;b:9092", "mq.topic", "paid", "mq.broker", "a:9092;b:9092"),
		span(3, agent.SpanType_Exit, "[::1]:6379", "cache.type", "Redis", "db.type", "Redis"),
		span(4, agent.SpanType_Exit, "bank", "http.status_code", "200", "status_code", "odd"),
		span(5, agent.SpanType_Exit, "", "mq.broker", "c"),
		span(6, agent.SpanType_Exit, ""),
	}
	td := translate(s)
	require.Equal(t, map[string]any{"service.name": "shop", "service.instance.id": "a"}, td.ResourceSpans().At(0).Resource().Attributes().AsRaw())
	for i, want := range []map[string]any{
		{"sw8.trace_id": sound, "url.full": "http://shop/checkout", "http.response.status_code": int64(502), "app": "x"},
		{"server.address": "mysql", "server.port": int64(3306), "db.system.name": "mysql", "db.namespace": "orders", "db.statement": "SELECT 1"},
		{"server.address": "a", "server.port": int64(9092), "messaging.destination.name": "paid", "mq.broker": "a:9092;b:9092"},
		{"server.address": "::1", "server.port": int64(6379), "db.system.name": "redis", "cache.type": "Redis"},
		{"server.address": "bank", "http.status_code": int64(200), "http.response.status_code": "odd"},
		{"server.address": "c", "mq.broker": "c"},
		{},
	} {
		got := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(i).Attributes().AsRaw()
		for _, key := range []string{"sw8.span_id", "sw8.parent_span_id", "sw8.segment_id"} {
			delete(got, key)
		}
		require.Equal(t, want, got, i)
	}
	require.Zero(t, translate(&agent.SegmentObject{TraceId: sound}).ResourceSpans().Len())
}
