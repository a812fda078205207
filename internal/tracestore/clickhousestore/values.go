package clickhousestore

import (
	"encoding/json"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

// The exporter writes every value as text. Here it becomes again what the semantic conventions, or Tracewright, have under its key,
// if its text is the one that such a value has. Everything else stays text.

// valueTypes are the types of values that are no text, by key: ours, and those of the semantic conventions (v1.40) and their previous
// names.
var valueTypes = makeValueTypes()

func makeValueTypes() map[string]pcommon.ValueType {
	types := make(map[string]pcommon.ValueType)
	for typ, keys := range map[pcommon.ValueType][]string{
		pcommon.ValueTypeInt: append(strings.Fields(conventionalInts),
			conventions.AttrReleasedAt, conventions.AttrVersion, conventions.AttrPart, conventions.AttrSpanCount, conventions.AttrServiceCount,
			conventions.AttrErrorCount, conventions.AttrMissingParents, conventions.AttrStart, conventions.AttrDuration, conventions.AttrSelfTime,
			conventions.AttrCriticalPathTime, conventions.AttrClockSkew, conventions.AttrRepaired,
		),
		pcommon.ValueTypeDouble: append(strings.Fields(conventionalDoubles),
			conventions.AttrBottleneck, conventions.AttrBottleneckShare, conventions.AttrWeight,
		),
		pcommon.ValueTypeBool: append(strings.Fields(conventionalBools),
			conventions.AttrOrphan, conventions.AttrErrorOrigin, conventions.AttrAnswered, conventions.AttrRetractedError,
			conventions.AttrEntryError, conventions.AttrRetractedEntryError,
		),
		pcommon.ValueTypeSlice: append(strings.Fields(conventionalLists),
			conventions.AttrServices, conventions.AttrViolations, conventions.AttrChildService, conventions.AttrChildOperation,
			conventions.AttrChildEnvironment, conventions.AttrChildProtocol, conventions.AttrChildDuration, conventions.AttrChildCalls,
			conventions.AttrChildError,
		),
	} {
		for _, key := range keys {
			types[key] = typ
		}
	}
	return types
}

const conventionalInts = `
app.jank.frame_count app.screen.coordinate.x app.screen.coordinate.y aws.dynamodb.count aws.dynamodb.limit aws.dynamodb.scanned_count
aws.dynamodb.segment aws.dynamodb.table_count aws.dynamodb.total_segments aws.s3.part_number azure.cosmosdb.request.body.size
azure.cosmosdb.response.sub_status_code cassandra.page.size cassandra.speculative_execution.count client.port code.column code.column.number
code.line.number code.lineno cpu.logical_number db.cassandra.page_size db.cosmosdb.status_code db.operation.batch.size
db.redis.database_index db.response.returned_rows destination.port faas.max_memory file.size gcp.cloud_run.job.task_index
gen_ai.embeddings.dimension.count gen_ai.request.choice.count gen_ai.request.max_tokens gen_ai.request.seed
gen_ai.usage.cache_creation.input_tokens gen_ai.usage.cache_read.input_tokens gen_ai.usage.input_tokens gen_ai.usage.output_tokens
host.cpu.cache.l2.size http.request.body.size http.request.resend_count http.request.size http.request_content_length http.resend_count
http.response.body.size http.response.size http.response.status_code http.response_content_length http.status_code
k8s.container.restart_count messaging.batch.message_count messaging.eventhubs.message.enqueued_time
messaging.gcp_pubsub.message.ack_deadline messaging.gcp_pubsub.message.delivery_attempt messaging.kafka.message.offset
messaging.kafka.offset messaging.kafka.partition messaging.message.body.size messaging.message.envelope.size
messaging.rabbitmq.message.delivery_tag messaging.rocketmq.message.delay_time_level messaging.rocketmq.message.delivery_timestamp
messaging.servicebus.message.delivery_count messaging.servicebus.message.enqueued_time net.host.port net.peer.port net.sock.host.port
net.sock.peer.port network.local.port network.peer.port onc_rpc.procedure.number onc_rpc.version process.args_count process.exit.code
process.group_leader.pid process.parent_pid process.pid process.real_user.id process.saved_user.id process.session_leader.pid
process.user.id process.vpid rpc.grpc.status_code rpc.jsonrpc.error_code rpc.message.compressed_size rpc.message.id
rpc.message.uncompressed_size server.port source.port thread.id url.port`

const conventionalDoubles = `
app.jank.period app.jank.threshold aws.dynamodb.provisioned_read_capacity aws.dynamodb.provisioned_write_capacity
azure.cosmosdb.operation.request_charge gen_ai.evaluation.score.value gen_ai.request.frequency_penalty gen_ai.request.presence_penalty
gen_ai.request.temperature gen_ai.request.top_k gen_ai.request.top_p geo.location.lat geo.location.lon`

const conventionalBools = `
aws.dynamodb.consistent_read aws.dynamodb.scan_forward browser.mobile cassandra.query.idempotent exception.escaped faas.coldstart
k8s.service.publish_not_ready_addresses messaging.destination.anonymous messaging.destination.temporary messaging.kafka.message.tombstone
process.interactive tls.established tls.resumed`

const conventionalLists = `
aws.dynamodb.attribute_definitions aws.dynamodb.attributes_to_get aws.dynamodb.consumed_capacity
aws.dynamodb.global_secondary_index_updates aws.dynamodb.global_secondary_indexes aws.dynamodb.local_secondary_indexes
aws.dynamodb.table_names aws.log.group.arns aws.log.group.names aws.log.stream.arns aws.log.stream.names
azure.cosmosdb.operation.contacted_regions browser.brands container.command_args container.image.repo_digests container.image.tags
dns.answers file.attributes gen_ai.request.encoding_formats gen_ai.request.stop_sequences gen_ai.response.finish_reasons host.ip host.mac
hw.network.logical_addresses messaging.rocketmq.message.keys process.command_args tls.client.certificate_chain
tls.client.supported_ciphers tls.server.certificate_chain user.roles`

// listPrefixes begin the keys of what is a list under many names: headers and metadata.
var listPrefixes = [...]string{
	"http.request.header.", "http.response.header.", "rpc.request.metadata.", "rpc.response.metadata.",
}

// putValue adds an attribute as the exporter wrote it. Of values under one key the first stays.
func putValue(attrs pcommon.Map, key, text string) {
	if _, repeated := attrs.Get(key); repeated {
		return
	}
	value := attrs.PutEmpty(key)
	typ, known := valueTypes[key]
	if !known && strings.HasPrefix(text, "[") {
		for _, prefix := range listPrefixes {
			known = known || strings.HasPrefix(key, prefix)
		}
		typ = pcommon.ValueTypeSlice
	}
	if !known || !setValue(value, typ, text) || value.AsString() != text {
		value.SetStr(text)
	}
}

func setValue(value pcommon.Value, typ pcommon.ValueType, text string) bool {
	switch typ {
	case pcommon.ValueTypeInt:
		n, err := strconv.ParseInt(text, 10, 64)
		value.SetInt(n)
		return err == nil
	case pcommon.ValueTypeDouble:
		n, err := strconv.ParseFloat(text, 64)
		value.SetDouble(n)
		return err == nil
	case pcommon.ValueTypeBool:
		value.SetBool(text == "true")
		return true
	case pcommon.ValueTypeSlice:
		return setList(value.SetEmptySlice(), text)
	}
	return false
}

// setList takes lists of texts, numbers and truths.
func setList(list pcommon.Slice, text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var elements []any
	if err := decoder.Decode(&elements); err != nil {
		return false
	}
	list.EnsureCapacity(len(elements))
	for _, element := range elements {
		switch element := element.(type) {
		case string:
			list.AppendEmpty().SetStr(element)
		case bool:
			list.AppendEmpty().SetBool(element)
		case json.Number:
			if n, err := element.Int64(); err == nil {
				list.AppendEmpty().SetInt(n)
			} else if n, err := element.Float64(); err == nil {
				list.AppendEmpty().SetDouble(n)
			} else {
				return false
			}
		default:
			return false
		}
	}
	return true
}
