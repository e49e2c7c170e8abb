package opencti

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Find looks objects up by any of their ids. What the platform does not hold, or
// hides from the user, is not in the answer. An object that several ids lead to
// is there under each of them: that is how a Channel shows that two rooms were
// fused into it.
func (p *Platform) Find(ctx context.Context, ids []stix.ID) (map[stix.ID]stix.Found, error) {
	h, err := p.read(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	var withFiles []stix.ID
	found := make(map[stix.ID]stix.Found, len(h))
	for id, n := range h {
		f := stix.Found{
			ID: id, StandardID: n.StandardID, InternalID: n.ID, Type: n.stixType(),
			Name: n.Name, Description: n.About, Aliases: slices.Concat(n.Aliases, n.IndividualAliases), Confidence: -1,
		}
		if n.Confidence != nil {
			f.Confidence = *n.Confidence
		}
		if f.Type == stix.TypeMediaContent {
			withFiles = append(withFiles, id)
		}
		found[id] = f
	}
	for chunk := range slices.Chunk(withFiles, readChunk) {
		files, err := p.readFiles(ctx, chunk)
		if err != nil {
			return nil, fmt.Errorf("find files: %w", err)
		}
		for _, id := range chunk {
			f := found[id]
			for _, file := range files[f.InternalID] {
				f.Files = append(f.Files, strings.ToLower(file.Name))
			}
			found[id] = f
		}
	}
	return found, nil
}

// storedFile is a file of an object as the platform holds it.
type storedFile struct {
	ID   string `json:"id"` // import/<type>/<internal id>/<lower-case name>
	Name string `json:"name"`
	Size *int64 `json:"size"`
	Meta struct {
		Version  string   `json:"version"`
		Markings []string `json:"file_markings"`
	} `json:"metaData"`
}

// readFiles gives the files of objects by the objects' internal ids.
func (p *Platform) readFiles(ctx context.Context, ids []stix.ID) (map[string][]storedFile, error) {
	var out struct {
		Objects struct {
			Edges []struct {
				Node struct {
					ID    string `json:"id"`
					Files struct {
						Edges []struct {
							Node storedFile `json:"node"`
						} `json:"edges"`
					} `json:"importFiles"`
				} `json:"node"`
			} `json:"edges"`
		} `json:"stixCyberObservables"`
	}
	err := p.client.do(ctx, opReadFiles, map[string]any{"ids": ids, "first": len(ids)}, &out)
	if err != nil {
		return nil, err
	}
	files := map[string][]storedFile{}
	for _, e := range out.Objects.Edges {
		files[e.Node.ID] = []storedFile{}
		for _, f := range e.Node.Files.Edges {
			files[e.Node.ID] = append(files[e.Node.ID], f.Node)
		}
	}
	return files, nil
}
