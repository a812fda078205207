package api

import (
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"

	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
)

// DeleteTrace deletes one trace.
func (h *handler) DeleteTrace(w http.ResponseWriter, r *http.Request) {
	faults := bindParameters(r, &struct{}{})
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		faults = append(faults, fault{"id", err.Error()})
	}
	tenant, ok := h.accepted(w, r, faults)
	if !ok {
		return
	}
	if err := h.Service.Delete(r.Context(), tenant, id); err != nil {
		h.writeFailure(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// backupName is what the document says of a backup's name: one folder, and not a hidden one.
var backupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

// CreateBackup copies the storage.
func (h *handler) CreateBackup(w http.ResponseWriter, r *http.Request) {
	name, refused := h.parseBackup(r)
	if refused == nil && h.BackupDir == "" {
		refused = newProblem(http.StatusForbidden, fault{Detail: "backups need backup_dir of trace_query, which names the folder for them"})
	}
	if refused != nil {
		refused.write(w)
		return
	}
	dir := filepath.Join(h.BackupDir, name)
	note(r.Context(), zap.String("path", dir))
	bytes, err := h.Service.Backup(r.Context(), dir)
	switch {
	case errors.Is(err, fs.ErrExist):
		newProblem(http.StatusConflict, fault{"name", "there is a folder of this name already; choose another"}).write(w)
		return
	case errors.Is(err, query.ErrNoBackup):
		newProblem(http.StatusNotImplemented, fault{Detail: err.Error()}).write(w)
		return
	case err != nil:
		h.writeFailure(w, r, err)
		return
	}
	note(r.Context(), zap.Int64("bytes", bytes))
	writeJSON(w, http.StatusCreated, "application/json", openapi.Backup{Path: dir, Bytes: bytes})
}

// parseBackup returns the name of the folder.
func (h *handler) parseBackup(r *http.Request) (string, *problem) {
	if faults := bindParameters(r, &struct{}{}); len(faults) > 0 {
		return "", newProblem(http.StatusBadRequest, faults...)
	}
	// A browser asks first before it sends JSON to another site.
	body, refused := readJSON(r, true)
	if refused != nil {
		return "", refused
	}
	var request openapi.BackupRequest
	if faults := decodeStrict(body, &request); len(faults) > 0 {
		return "", newProblem(http.StatusBadRequest, faults...)
	}
	if request.Name == nil {
		return "backup-" + h.now().UTC().Format("20060102T150405Z"), nil
	}
	if !backupName.MatchString(*request.Name) {
		return "", newProblem(http.StatusBadRequest, fault{
			"name", "must be 1 to 100 letters, digits, dots, dashes and underscores, the first a letter or digit",
		})
	}
	return *request.Name, nil
}
