#!/usr/bin/env node
import { runCli } from './cli.js';

// A reader such as `head` may close the pipe before everything is written.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') {
    throw error;
  }
});

void runCli(process.argv.slice(2), process).then((code) => {
  process.exitCode = code;
});
