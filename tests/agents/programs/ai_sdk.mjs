// A small agent on the Vercel AI SDK: `ai_sdk.mjs KIND BASE MODEL PROMPT`.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [kind, baseURL, model, prompt] = process.argv.slice(2);
const [name, streamed] = kind.split(", ");
const options = { baseURL, apiKey: process.env.GATEWAY_KEY };
const models = {
  openai: () => createOpenAI(options)(model),
  "openai.chat": () => createOpenAI(options).chat(model),
  "openai-compatible": () => createOpenAICompatible({ ...options, name: "gateway" })(model),
  anthropic: () => createAnthropic(options)(model),
  google: () => createGoogleGenerativeAI(options)(model),
};

const write_file = tool({
  description: "Write content to a file.",
  inputSchema: z.object({ file_path: z.string(), content: z.string() }),
  execute: async ({ file_path, content }) => {
    writeFileSync(file_path, content);
    return `Wrote ${file_path}.`;
  },
});
const run_command = tool({
  description: "Run a shell command and return what it printed.",
  inputSchema: z.object({ command: z.string() }),
  execute: async ({ command }) => execFileSync("sh", ["-c", command], { encoding: "utf8", timeout: 10_000 }) || "Done.",
});

const task = { model: models[name](), prompt, tools: { write_file, run_command }, stopWhen: stepCountIs(5) };
if (streamed) {
  for await (const part of streamText(task).fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") process.stdout.write(part.text);
  }
} else {
  console.log((await generateText(task)).text);
}
