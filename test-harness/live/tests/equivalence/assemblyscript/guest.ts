// A guest of the AssemblyScript SDK: it reads its configuration and headers, counts, adds headers and answers itself.
export * from "@solo-io/proxy-runtime/proxy";
import {
  Context, Counter, FilterHeadersStatusValues, GrpcStatusValues, LogLevelValues, RootContext, log, registerRootContext,
  send_local_response, stream_context
} from "@solo-io/proxy-runtime";

class Root extends RootContext {
  seen: Counter = new Counter("assemblyscript.seen");
  createContext(context_id: u32): Context {
    return new Stream(context_id, this);
  }
}

class Stream extends Context {
  constructor(context_id: u32, root: Root) {
    super(context_id, root);
  }
  onRequestHeaders(count: u32, end_of_stream: bool): FilterHeadersStatusValues {
    (this.root_context as Root).seen.increment(1);
    const path = stream_context.headers.request.get(":path");
    log(LogLevelValues.info, "path " + path);
    if (path == "/refused") {
      send_local_response(403, "refused", String.UTF8.encode("no"), [], GrpcStatusValues.PermissionDenied);
      return FilterHeadersStatusValues.StopIteration;
    }
    stream_context.headers.request.add("x-from", this.root_context.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }
  onResponseHeaders(count: u32, end_of_stream: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("hello", this.root_context.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }
  onLog(): void {
    log(LogLevelValues.info, "log");
  }
}

registerRootContext((context_id: u32) => { return new Root(context_id); }, "root");
