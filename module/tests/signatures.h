// The part of Envoy's ABI for dynamic modules that Seawall uses: signatures and numbers of
// source/extensions/dynamic_modules/abi/abi.h (https://github.com/envoyproxy/envoy, Apache-2.0), without the prefix
// "envoy_dynamic_module_" and with these short types: filter, config, scheduler, loaded, stream for its pointers; buffer for a
// buffer that the module lends, lent for one that Envoy lends; header and lent_header for header lines,
// timing for 19 numbers of 64 bits and as many flags: start_time_unix_ns is the first, first_upstream_tx_byte_sent_ns the tenth.
void callback_log(u32 level, buffer message);
u32 callback_http_filter_config_define_counter(config, buffer name, buffer* labels, size_t, size_t* id);
u32 callback_http_filter_config_define_gauge(config, buffer name, buffer* labels, size_t, size_t* id);
u32 callback_http_filter_config_define_histogram(config, buffer name, buffer* labels, size_t, size_t* id);
u32 callback_http_filter_increment_counter(filter, size_t id, buffer* values, size_t, u64 value);
u32 callback_http_filter_set_gauge(filter, size_t id, buffer* values, size_t, u64 value);
u32 callback_http_filter_record_histogram_value(filter, size_t id, buffer* values, size_t, u64 value);
u32 callback_http_filter_config_increment_counter(config, size_t id, buffer* values, size_t, u64 value);
u32 callback_http_filter_config_set_gauge(config, size_t id, buffer* values, size_t, u64 value);
u32 callback_http_filter_config_record_histogram_value(config, size_t id, buffer* values, size_t, u64 value);
bool callback_http_get_header(filter, u32 map, buffer key, lent* result, size_t index, size_t* count);
size_t callback_http_get_headers_size(filter, u32 map);
bool callback_http_get_headers(filter, u32 map, lent_header* result);
bool callback_http_set_header(filter, u32 map, buffer key, buffer value);
void callback_http_send_response(filter, u32 status, header* headers, size_t, buffer body, buffer details);
size_t callback_http_get_body_size(filter, u32 body);
bool callback_http_get_body_chunks(filter, u32 body, lent* result);
size_t callback_http_get_body_chunks_size(filter, u32 body);
bool callback_http_get_metadata_string(filter, u32 source, buffer namespace, buffer key, lent* result);
bool callback_http_set_filter_state_bytes(filter, buffer key, buffer value);
bool callback_http_get_filter_state_bytes(filter, buffer key, lent* result);
scheduler callback_http_filter_scheduler_new(filter);
void callback_http_filter_scheduler_commit(scheduler, u64 event);
void callback_http_filter_scheduler_delete(scheduler);
bool callback_http_filter_get_attribute_string(filter, u32 attribute, lent* result);
bool callback_http_filter_get_attribute_int(filter, u32 attribute, u64* result);
void callback_http_clear_route_cache(filter);
void callback_http_filter_continue_decoding(filter);
scheduler callback_http_filter_config_scheduler_new(config);
void callback_http_filter_config_scheduler_commit(scheduler, u64 event);
void callback_http_filter_config_scheduler_delete(scheduler);
u32 callback_http_filter_config_http_callout(config, u64* id, buffer cluster, header* headers, size_t, buffer body, u64 millis);
bool callback_http_get_cluster_name(filter, lent* result);
void callback_http_get_timing_info(filter, timing* result);
bool callback_is_validation_mode();

cstring on_program_init();
loaded on_http_filter_config_new(config, lent name, lent written);
void on_http_filter_config_destroy(loaded);
stream on_http_filter_new(loaded, filter);
u32 on_http_filter_request_headers(filter, stream, bool end);
u32 on_http_filter_request_body(filter, stream, bool end);
u32 on_http_filter_request_trailers(filter, stream);
u32 on_http_filter_response_headers(filter, stream, bool end);
u32 on_http_filter_response_body(filter, stream, bool end);
u32 on_http_filter_response_trailers(filter, stream);
void on_http_filter_stream_complete(filter, stream);
void on_http_filter_destroy(stream);
void on_http_filter_scheduled(filter, stream, u64 event);
void on_http_filter_config_scheduled(config, loaded, u64 event);
void on_http_filter_config_http_callout_done(config, loaded, u64 id, u32 result, lent_header* headers, size_t, lent* body, size_t);
void on_http_filter_http_callout_done(filter, stream, u64 id, u32 result, lent_header* headers, size_t, lent* body, size_t);
void on_http_filter_http_stream_headers(filter, stream, u64 id, lent_header* headers, size_t, bool end);
void on_http_filter_http_stream_data(filter, stream, u64 id, lent* body, size_t, bool end);
void on_http_filter_http_stream_trailers(filter, stream, u64 id, lent_header* trailers, size_t);
void on_http_filter_http_stream_complete(filter, stream, u64 id);
void on_http_filter_http_stream_reset(filter, stream, u64 id, u32 reason);
void on_http_filter_downstream_above_write_buffer_high_watermark(filter, stream);
void on_http_filter_downstream_below_write_buffer_low_watermark(filter, stream);

enum level { Trace = 0, Debug = 1, Info = 2, Warn = 3, Error = 4, Critical = 5 };
enum map { Request = 0, Response = 2, ResponseTrailers = 3 };
enum attribute {
  ResponseCodeDetails = 16, ResponseFlags = 17, SourceAddress = 24, DestinationPort = 27, ConnectionId = 28,
  ConnectionUriSanPeerCertificate = 37, UpstreamAddress = 41, UpstreamTransportFailureReason = 52, UpstreamRequestAttemptCount = 53,
  XdsClusterName = 57, XdsListenerDirection = 59, XdsRouteName = 61, XdsVirtualHostName = 63,
  XdsFilterChainName = 66
};
