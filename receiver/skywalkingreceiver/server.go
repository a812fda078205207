package skywalkingreceiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	common "skywalking.apache.org/repo/goapi/collect/common/v3"
	agent "skywalking.apache.org/repo/goapi/collect/language/agent/v3"

	"github.com/tracewright/tracewright/receiver/skywalkingreceiver/internal/metadata"
)

// What carries segments.
const (
	collect       = "/skywalking.v3.TraceSegmentReportService/collect"
	collectInSync = "/skywalking.v3.TraceSegmentReportService/collectInSync"
	httpSegments  = "/v3/segments"
)

// serverMiddleware is by what the receiver's servers find the server. No extension has that id.
var serverMiddleware = configmiddleware.Config{ID: component.MustNewIDWithName("skywalking", "segments")}

// server answers what carries segments in the place of the collector's receiver, which acknowledges what was refused, counts nothing, prints
// segments, and waits for ever for agents to end their streams. All else is the collector's to answer.
//
//	agent ──▶ the collector's servers ──▶ server ─┬─ segments ──▶ translate ──▶ pipeline
//	                                              └─ else ──▶ the collector's services
type server struct {
	component.StartFunc
	component.ShutdownFunc
	next    consumer.Traces
	reports map[string]*receiverhelper.ObsReport // by transport
	closing chan struct{}                        // is closed when streams are to end
}

var (
	_ extensionmiddleware.GRPCServer = (*server)(nil)
	_ extensionmiddleware.HTTPServer = (*server)(nil)

	errClosing = status.Error(codes.Unavailable, "the receiver is shutting down")
)

func newServer(set receiver.Settings, next consumer.Traces) (*server, error) {
	s := &server{next: next, reports: make(map[string]*receiverhelper.ObsReport), closing: make(chan struct{})}
	for _, transport := range []string{"grpc", "http"} {
		report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
			ReceiverID: set.ID, Transport: transport, ReceiverCreateSettings: set,
		})
		if err != nil {
			return nil, err
		}
		s.reports[transport] = report
	}
	return s, nil
}

// take hands segments on, all or none.
func (s *server) take(ctx context.Context, transport string, segments ...*agent.SegmentObject) error {
	spans := 0
	for _, segment := range segments {
		spans += len(segment.GetSpans())
	}
	if spans == 0 {
		return nil
	}
	report := s.reports[transport]
	ctx = report.StartTracesOp(ctx)
	td, err := read(segments)
	if err == nil {
		err = s.next.ConsumeTraces(ctx, td)
	}
	report.EndTracesOp(ctx, metadata.Type.String(), spans, err)
	return err
}

// read translates segments. What makes the translator panic, as some ids do, is an error for good.
func read(segments []*agent.SegmentObject) (td ptrace.Traces, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = consumererror.NewPermanent(fmt.Errorf("a segment cannot be read: %v", panicked))
		}
	}()
	td = ptrace.NewTraces()
	for _, segment := range segments {
		translate(segment).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	return td, nil
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (s *server) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if collection, ok := request.(*agent.SegmentCollection); ok && info.FullMethod == collectInSync {
				return new(common.Commands), answer(s.take(ctx, "grpc", collection.GetSegments()...))
			}
			return handle(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(service any, open grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			ends := &stream{open, s.closing}
			if info.FullMethod == collect {
				return s.collect(ends)
			}
			return handle(service, ends)
		}),
	}, nil
}

// collect takes what an agent streams until it ends that, or something is refused. The agent is told then.
func (s *server) collect(from *stream) error {
	for {
		segment := new(agent.SegmentObject)
		err := from.RecvMsg(segment)
		if errors.Is(err, io.EOF) {
			return from.SendMsg(new(common.Commands))
		}
		if err == nil {
			err = answer(s.take(from.Context(), "grpc", segment))
		}
		if err != nil {
			return err
		}
	}
}

// answer is what an agent is told: the status that the pipeline gave, or else whether to send it again.
func answer(err error) error {
	if err == nil {
		return nil
	}
	if said, ok := status.FromError(err); ok {
		return said.Err()
	}
	if consumererror.IsPermanent(err) {
		return status.Error(codes.Internal, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}

// stream ends when its receiver does, between two messages.
type stream struct {
	grpc.ServerStream
	closing <-chan struct{}
}

// RecvMsg implements grpc.ServerStream. A message that comes while the receiver closes is not taken, which its sender is told.
func (s *stream) RecvMsg(message any) error {
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(message) }() // ends with the stream
	select {
	case err := <-received:
		return err
	case <-s.closing:
		return errClosing
	}
}

// GetHTTPHandler implements extensionmiddleware.HTTPServer.
func (s *server) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	return func(_ context.Context, other http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.URL.Path != httpSegments {
				other.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			segments, err := readSegments(r.Body)
			code := http.StatusBadRequest
			if err == nil {
				if err = s.take(r.Context(), "http", segments...); err == nil {
					return
				}
				if !consumererror.IsPermanent(err) {
					code = http.StatusServiceUnavailable
				}
			}
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(map[string]string{"status": "failing", "msg": err.Error()}) // nobody listens where it fails
		}), nil
	}, nil
}

// readSegments reads a list of segments in JSON, in which kinds have names.
func readSegments(body io.Reader) ([]*agent.SegmentObject, error) {
	var list []json.RawMessage
	content, err := io.ReadAll(body)
	if err == nil {
		err = json.Unmarshal(content, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read a list of segments: %w", err)
	}
	segments := make([]*agent.SegmentObject, len(list))
	for i, segment := range list {
		segments[i] = new(agent.SegmentObject)
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(segment, segments[i]); err != nil {
			return nil, fmt.Errorf("read segment %d: %w", i, err)
		}
	}
	return segments, nil
}
