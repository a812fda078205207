package rootcause

// Operation is an operation of a service, or of a virtual peer.
type Operation struct{ Service, Operation string }

// Trace is what is needed of one trace.
type Trace struct {
	// Entry is where the request entered the system.
	Entry Operation
	// Duration is the entry root's, nanoseconds.
	Duration int64
	// Failed says that the request itself failed: its entry root is an error.
	Failed bool
	// Calls stand so that whoever calls comes before what is called.
	Calls []Call
}

// Call is one call of a service: its server or consumer span and all spans below it within the service; or one of a virtual peer: the
// client span. Times are nanoseconds.
type Call struct {
	// Caller is the index of the call that made this one, -1 where there is none.
	Caller int
	Callee Operation
	// Virtual says that the callee is a virtual peer, which sends no spans.
	Virtual bool
	// Own is the time in which the callee itself worked: the self time of its spans, without the pauses before it tried a failed call again.
	Own int64
	// Wait is what the caller waited beyond what the callee took: the way there and back, queues, and pauses after the callee had failed before
	// the call was tried again.
	Wait int64
	// OwnPath and WaitPath are the parts of Own and Wait that lie on the critical path.
	OwnPath, WaitPath int64
	// Failed says that the callee failed; Origin that a failure began with it.
	Failed, Origin bool
}

// MaxTraces is how many traces of a window are looked at, the first ones.
const MaxTraces = 10_000
