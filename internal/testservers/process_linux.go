package testservers

import "syscall"

// endWithParent ends a server with the process that started it, however that ends.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
