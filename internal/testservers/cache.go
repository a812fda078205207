package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// errMissing says that a program is not there that a server needs.
var errMissing = errors.New("not installed")

// installed is the folder that install filled, once for a name on this machine. Processes that want the same wait for one another;
// a folder is there completely or not at all.
func installed(ctx context.Context, name string, install func(ctx context.Context, folder string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	base := filepath.Join(cache, "tracewright", "testservers")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	folder := filepath.Join(base, name)
	lock, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // releases it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	part := folder + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return "", err
	}
	if err := install(ctx, part); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	return folder, os.Rename(part, folder)
}

// run runs a program to its end in a folder. The error has what it printed.
func run(ctx context.Context, folder, name string, args ...string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s: %w", name, errMissing)
	}
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, output)
	}
	return nil
}
