//go:build !linux

package testservers

import "syscall"

// endWithParent has no means here: a server outlives a process that is killed.
func endWithParent() *syscall.SysProcAttr { return nil }
