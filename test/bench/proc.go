package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every platform that Go runs on.
const clockTick = time.Second / 100

// cpuTime is the processor time that a process has used so far, in user mode and in the kernel.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat reads utime and stime, the 14th and 15th field of /proc/PID/stat. The second is the program's name in
// parentheses, which may hold spaces and parentheses itself.
func parseStat(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3 // the first field behind the name is the third
	if len(fields) <= stime {
		return 0, fmt.Errorf("process status has %d fields behind the name", len(fields))
	}
	sum := time.Duration(0)
	for _, field := range [][]byte{fields[utime], fields[stime]} {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read a time of the process status: %w", err)
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum, nil
}

// peakMemory is the largest resident set that a process has had, in bytes.
func peakMemory(pid int) (int64, error) { return processMemory(pid, "VmHWM") }

// residentMemory is the resident set of a process now, in bytes.
func residentMemory(pid int) (int64, error) { return processMemory(pid, "VmRSS") }

func processMemory(pid int, key string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(string(status), key)
}

// parseStatus reads a line KEY: NUMBER kB of /proc/PID/status, in bytes.
func parseStatus(status, key string) (int64, error) {
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == key+":" && fields[2] == "kB" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("the process status has no %s", key)
}
