package api

import (
	"mime"
	"strconv"
	"strings"
)

// protobufTypes are the names under which clients ask for OTLP protobuf.
var protobufTypes = []string{"application/x-protobuf", "application/protobuf"}

// wantsProtobuf says whether the Accept header asks for OTLP protobuf, and which name it gives it. JSON is what it gets that likes both as much.
func wantsProtobuf(accept []string) (name string, wanted bool) {
	best, json := 0.0, 0.0
	for _, ranges := range strings.Split(strings.Join(accept, ","), ",") {
		media, parameters, err := mime.ParseMediaType(ranges)
		if err != nil {
			continue // what nobody can read asks for nothing
		}
		quality := 1.0
		if q, given := parameters["q"]; given {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		switch media {
		case "application/json", "application/*", "*/*":
			json = max(json, quality)
		case protobufTypes[0], protobufTypes[1]:
			if quality > best {
				best, name = quality, media
			}
		}
	}
	return name, best > json
}
