"""A small agent on the OpenAI Agents SDK: `agents_sdk.py KIND BASE MODEL PROMPT`."""

import asyncio
import os
import sys

import tools
from openai import AsyncOpenAI

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled

MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}


async def main(kind: str, base: str, model: str, prompt: str) -> None:
    set_tracing_disabled(True)  # traces go to the vendor
    name, *how = kind.split(", ")
    by_id = "by id" in how  # each turn names the response before it and sends only what is new
    client = AsyncOpenAI(base_url=base, api_key=os.environ["GATEWAY_KEY"])
    agent = Agent(
        name="Scribe",
        tools=[function_tool(tools.write_file), function_tool(tools.run_command)],
        model=MODELS[name](model=model, openai_client=client),
    )
    if "streamed" in how:
        result = Runner.run_streamed(agent, prompt, auto_previous_response_id=by_id)
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, prompt, auto_previous_response_id=by_id)
    sys.stdout.write(f"{result.final_output}\n")


asyncio.run(main(*sys.argv[1:]))
