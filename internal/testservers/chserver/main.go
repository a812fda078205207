// chserver serves ClickHouse's native protocol and HTTP from libchdb.so, the whole of ClickHouse as a library. It ends on SIGTERM or SIGINT.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// stopTimeout is how long the engine may take to end.
const stopTimeout = 20 * time.Second

func main() {
	library := flag.String("lib", "", "libchdb.so")
	path := flag.String("path", "", "folder of the data")
	tcp := flag.Int("tcp", 0, "port of the native protocol")
	http := flag.Int("http", 0, "port of HTTP")
	config := flag.String("config", "", "ClickHouse's configuration file")
	flag.Parse()
	if err := serve(*library, []string{
		"chserver", "--path=" + *path, "--config-file=" + *config, "--listen_host=127.0.0.1",
		fmt.Sprintf("--tcp_port=%d", *tcp), fmt.Sprintf("--http_port=%d", *http),
		// The last statement reads standard input to its end, and so keeps the server up until then.
		"--query", "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT * FROM file('stdin','LineAsString') FORMAT Null",
	}); err != nil {
		fmt.Fprintln(os.Stderr, "chserver:", err)
		os.Exit(1)
	}
}

func serve(library string, args []string) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(reader.Fd()), 0, 0); err != nil {
		return fmt.Errorf("replace standard input: %w", err)
	}
	if err := reader.Close(); err != nil {
		return err
	}
	handle, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return err
	}
	var query func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	purego.RegisterLibFunc(&query, handle, "query_stable_v2")

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan error, 1)
	go func() { done <- run(query, args) }()
	select {
	case err := <-done:
		return err
	case <-stop:
	}
	if err := writer.Close(); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-time.After(stopTimeout):
		return errors.New("the engine does not end")
	}
}

// result is struct local_result_v2 of chdb.h.
type result struct {
	_       unsafe.Pointer // buffer
	_       uintptr        // its length
	_       unsafe.Pointer // its owner
	_       float64        // seconds
	_, _    uint64         // rows and bytes read
	message *byte          // of an error, ending in a zero byte
}

// run calls the library with the arguments as a C program's, and returns when the query has ended.
func run(query func(int32, unsafe.Pointer) unsafe.Pointer, args []string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]*byte, len(args)+1) // the last one stays nil
	for i, arg := range args {
		text := append([]byte(arg), 0)
		argv[i] = &text[0]
		pin.Pin(argv[i])
	}
	pin.Pin(&argv[0])
	r := (*result)(query(int32(len(args)), unsafe.Pointer(&argv[0])))
	if r == nil || r.message == nil {
		return nil
	}
	end := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(r.message), end)) != 0 {
		end++
	}
	return errors.New(unsafe.String(r.message, end))
}
