"""A small agent on LangChain: `langchain_agent.py KIND BASE MODEL PROMPT`."""

import os
import sys

import tools
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI

MODELS = {
    "ChatOpenAI": lambda **options: ChatOpenAI(**options),
    "ChatOpenAI (Responses)": lambda **options: ChatOpenAI(**options, use_responses_api=True),
    "ChatAnthropic": lambda **options: ChatAnthropic(**options),
    "ChatGoogleGenerativeAI": lambda **options: ChatGoogleGenerativeAI(**options),
}


def main(kind: str, base: str, model: str, prompt: str) -> None:
    name, _, streamed = kind.partition(", ")
    chat = MODELS[name](model=model, base_url=base, api_key=os.environ["GATEWAY_KEY"])
    agent = create_agent(chat, [tools.write_file, tools.run_command])
    task = {"messages": [{"role": "user", "content": prompt}]}
    if streamed:
        for _ in agent.stream(task, stream_mode="messages"):
            pass
    else:
        agent.invoke(task)


main(*sys.argv[1:])
