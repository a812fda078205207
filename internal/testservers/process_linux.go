package testservers

import "syscall"

// endWithParent ends a server with the process that started it, however that ends; not with the signals of its terminal.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
