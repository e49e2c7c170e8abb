package matrix

import "encoding/json"

// filter is what is asked of /sync, inline (Matrix C-S API, "Filtering"): no
// presence, receipts, typing or room account data; members only of those who
// speak. The timeline is never filtered by type: that would hide encrypted events
// and types that are not known yet.
func filter(timeline int) string {
	none := map[string]any{"not_types": []string{"*"}}
	text, err := json.Marshal(map[string]any{
		"presence":     none,
		"account_data": map[string]any{"types": []string{"m.ignored_user_list"}},
		"room": map[string]any{
			"account_data": none,
			"ephemeral":    none,
			"state":        map[string]any{"lazy_load_members": true, "include_redundant_members": true},
			"timeline":     map[string]any{"limit": timeline, "lazy_load_members": true, "include_redundant_members": true},
		},
	})
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return string(text)
}
