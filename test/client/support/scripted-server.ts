import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { until } from '../../support/wait.js';

/** A request as received by the server. */
export interface ReceivedRequest {
  method: string;
  /** The path and query. */
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Responds to one request. An error fails the test that waits for the response. */
export type Answer = (response: ServerResponse, request: ReceivedRequest) => void | Promise<void>;

/** A real server that sends the responses of a test in turn and repeats the last one. */
export interface ScriptedServer {
  url: string;
  requests: ReceivedRequest[];
  answers(...answers: Answer[]): void;
}

/** Starts a server for each test of the file. */
export function useScriptedServer(): ScriptedServer {
  const script: Answer[] = [];
  const scripted: ScriptedServer = {
    url: '',
    requests: [],
    answers: (...answers) => void script.splice(0, script.length, ...answers),
  };
  const open = new Set<ServerResponse>();
  const server = createServer((message, response) => {
    open.add(response);
    response.on('close', () => open.delete(response));
    void answer(scripted, script, message, response);
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scripted.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    scripted.requests = [];
    script.length = 0;
  });
  // Every call must close its connection.
  afterEach(() => until(() => open.size === 0, { message: 'the end of all connections' }));
  afterAll(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    // After an aborted request, Node's fetch connects again for the next one.
    server.closeAllConnections();
    await closed;
  });
  return scripted;
}

async function answer(
  scripted: ScriptedServer,
  script: Answer[],
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const request = await received(message);
  scripted.requests.push(request);
  const next = script.length > 1 ? script.shift() : script[0];
  await (next ?? json(599, { message: 'the script has no answer' }))(response, request);
}

async function received(message: IncomingMessage): Promise<ReceivedRequest> {
  const { method = '', url = '', headers } = message;
  return { method, url, headers, body: await text(message) };
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', ...headers });
    response.end(JSON.stringify(body));
  };
}

/** Returns an error response of this API. */
export function refusal(
  status: number,
  code: string,
  { data = {}, headers }: { data?: Record<string, string>; headers?: Record<string, string> } = {},
): Answer {
  return json(status, { status, code, message: `refused: ${code}`, data }, headers);
}

export function html(status: number, body = '<html>\n  <h1>Bad Gateway</h1>\n</html>'): Answer {
  return (response) => {
    response.writeHead(status, { 'Content-Type': 'text/html' });
    response.end(body);
  };
}

export function empty(status: number): Answer {
  return (response) => {
    response.writeHead(status);
    response.end();
  };
}

/** Cuts the connection without a response. */
export const cut: Answer = (response) => void response.socket?.destroy();

/** Starts a response and cuts the connection during it. */
export const cutInTheMiddle: Answer = (response) => {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
  response.write('{"items":[', () => response.socket?.destroy());
};

/** Never responds. */
export const silence: Answer = () => undefined;
