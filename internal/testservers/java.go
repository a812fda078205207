package testservers

import (
	"context"
	"embed"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The projects by which Maven finds the servers that are written in Java, and a program that starts one of them.
//
//go:embed java
var javaFiles embed.FS

// jars is the folder with the jar files that a project of ours depends on; and, where there is one, with the program compiled.
func jars(ctx context.Context, name, program string) (string, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%s: %w", tool, errMissing)
		}
	}
	pom, err := javaFiles.ReadFile("java/" + name + "-pom.xml")
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(string(pom), "<dependencies>")
	_, version, _ = strings.Cut(version, "<version>")
	version, _, _ = strings.Cut(version, "</version>")
	folder, source := name+"-"+version, []byte(nil)
	if program != "" { // another program is another folder
		source, err = javaFiles.ReadFile("java/" + program + ".java")
		if err != nil {
			return "", err
		}
		folder += fmt.Sprintf("-%08x", crc32.ChecksumIEEE(source))
	}
	return installed(ctx, folder, func(ctx context.Context, part string) error {
		if err := os.WriteFile(filepath.Join(part, "pom.xml"), pom, 0o600); err != nil {
			return err
		}
		if err := run(ctx, part, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"); err != nil {
			return err
		}
		if program == "" {
			return nil
		}
		if err := os.WriteFile(filepath.Join(part, program+".java"), source, 0o600); err != nil {
			return err
		}
		return run(ctx, part, "javac", "-proc:none", "-cp", "lib/*", "-d", "classes", program+".java")
	})
}
