package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// prepare makes paths absolute, since what is started must not depend on where it runs, looks for files, and makes folders. Empty ones are
// left alone. target is what builds the files.
func prepare(target string, files, folders []*string) error {
	for _, file := range files {
		if err := makeAbsolute(file); err != nil {
			return err
		}
		if *file == "" {
			continue
		}
		if _, err := os.Stat(*file); err != nil {
			return fmt.Errorf("%w; %s builds what it needs", err, target)
		}
	}
	for _, folder := range folders {
		if err := makeAbsolute(folder); err != nil {
			return err
		}
		if *folder == "" {
			continue
		}
		if err := os.MkdirAll(*folder, 0o750); err != nil {
			return err
		}
	}
	return nil
}

func makeAbsolute(path *string) (err error) {
	if *path != "" {
		*path, err = filepath.Abs(*path)
	}
	return err
}
